"""Claims and evidence by kind of quantity: `claim | evidence` per line, in English and French.

Lines of SAME: the evidence states the claim's quantities. Lines of DIFFERENT: it states other ones, or fewer.
"""

SAME = {
    "sign": """
        The balance is -250 euros. | The account balance is −250 euros.
        The balance is minus 250 euros. | The balance is -250 €.
        Le solde est de -250 euros. | Le solde est de moins 250 euros.
        Store it at -20 °C. | Store it at –20 °C.
        It is 5 degrees below zero. | It is -5 degrees outside.
        Il fait -5 °C. | Il fait 5 °C au-dessous de zéro.
        La température est de −5 °C. | La température est de moins cinq degrés Celsius.
        The change was -3.5 %. | The change was −3.5 percent.
        -€50 is the loss. | The loss is -50 euros.
        The range is -5 to 5 °C. | It works from −5 to 5 °C.
        The balance (-12 €) is due. | The balance is −12 €.
        Le résultat est de +3 %. | Le résultat est de 3 %.
    """,
    "digits": """
        Le loyer est de 1234.50 francs. | Le loyer est de 1'234.50 francs.
        Le loyer est de 1234,56 €. | Le loyer est de 1\u2009234,56 €.
        Le prix est de 1234,56 euros. | Le prix est de 1\u202f234,56 €.
        Le prix est de 1234,56 euros. | Le prix est de 1\u00a0234,56 €.
        Die Miete ist 1234,56 Euro. | Die Miete beträgt 1.234,56 Euro.
        It costs 1234.56 dollars. | It costs $1,234.56.
        Il y a 1500 habitants. | Il y a 1 500 habitants.
        Il y a 2500000 habitants. | Il y a 2 500 000 habitants.
        There are 1500 students. | There are 1,500 students.
        It has 1234567 rows. | It has 1,234,567 rows.
        It has 1234567 rows. | It has 1.234.567 rows.
        The grant is 125000 rupees. | The grant is 1,25,000 rupees.
        The grant is ₹12500000. | The grant is ₹1,25,00,000.
        La dose est de 0.125 mg. | La dose est de 0,125 mg.
        La dose est de 1,125 mg. | La dose du sirop est de 1,125 mg.
        It weighs 2.50 kg. | It weighs 2.5 kg.
        Il pèse 2,5 kg. | It weighs 2.5 kg.
        It was 3 000 km long. | It was 3,000 km long.
        12,5 % des élèves. | 12.5% of the pupils.
        Cela coûte 12,90 €. | It costs €12.90.
        The plan is CHF 1’250. | The plan is 1250 CHF.
        1,500 points were given. | In all, 1,500 points were given to them.
        Le stock est de 10000 pièces. | Le stock est de 10 000 pièces.
    """,
    "fractions": """
        Add half a litre of milk. | Add 1/2 litre of milk.
        Add 0.5 l of milk. | Add half a litre of milk.
        It takes 2.5 hours. | It takes 2½ hours.
        It takes 2 1/2 hours. | It takes 2.5 hours.
        It takes two and a half hours. | It takes 2.5 hours.
        Cela dure une heure et demie. | Cela dure 1,5 heure.
        Cela dure 30 minutes. | Cela dure une demi-heure.
        It takes 30 minutes. | It takes half an hour.
        Half of the students passed. | 50% of the students passed.
        La moitié des élèves a réussi. | 50 % des élèves ont réussi.
        Three quarters of the work is done. | 75 % of the work is done.
        Les trois quarts du travail sont faits. | 75 % du travail est fait.
        A quarter of the members left. | 25 % of the members left.
        Un quart des membres est parti. | 25 % des membres sont partis.
        Two thirds voted for it. | 2/3 of them voted for it.
        Deux tiers ont voté pour. | Les deux tiers ont voté pour.
        Cela prend 15 minutes. | Cela prend un quart d'heure.
        The fund has half a million euros. | The fund has 500,000 euros.
        The walk is ¾ of a mile. | The walk is 3/4 of a mile.
    """,
    "words": """
        The notice period is 30 days. | The notice period is thirty days.
        Le délai est de 30 jours. | Le délai est de trente jours.
        There are 25 rooms. | There are twenty-five rooms.
        Il y a 97 places. | Il y a quatre-vingt-dix-sept places.
        Il y a 71 places. | Il y a soixante et onze places.
        Il y a 80 places. | Il y a quatre-vingts places.
        Il y a 21 élèves. | Il y a vingt et un élèves.
        Il y a 200000 livres. | Il y a deux cent mille livres.
        There are 105 members. | There are one hundred and five members.
        There are 1000 seats. | There are a thousand seats.
        Il y a 1000 places. | Il y a mille places.
        Il y a 300 places. | Il y a trois cents places.
        Il coûte 600 euros. | Il coûte six cents euros.
        Le bail dure 9 ans. | Le bail dure neuf ans.
        The lease is for 9 years. | The lease is for nine years.
        Buy 12 eggs. | Buy a dozen eggs.
        Achetez 12 œufs. | Achetez une douzaine d'œufs.
        Buy 24 eggs. | Buy two dozen eggs.
        Une vingtaine de personnes sont venues. | Environ 20 personnes sont venues.
        Une centaine de personnes sont venues. | 100 personnes sont venues.
        Le contrat dure un an. | Le contrat dure 1 an.
        The contract lasts one year. | The contract lasts 1 year.
        The contract lasts 12 months. | The contract lasts one year.
        Il a septante ans. | Il a 70 ans.
        Il a quatre-vingt-dix ans. | Il a nonante ans.
        The prize is 2 million dollars. | The prize is two million dollars.
        Le prix est de 3 millions d'euros. | Le prix est de trois millions d'euros.
        A three-year contract is offered. | The contract is for 3 years.
        The house has 3 doors. | The house has three doors.
        Il a dix-huit ans. | Il a 18 ans.
    """,
    "scales": """
        Le budget est de 50 k€. | Le budget est de 50 000 €.
        Le budget est de 50 000 euros. | Le budget est de 50 milliers d'euros.
        Le budget est de 3 M€. | Le budget est de 3 millions d'euros.
        Le budget est de 3 Md€. | Le budget est de 3 milliards d'euros.
        The budget is €3bn. | The budget is 3 billion euros.
        The budget is $50K. | The budget is 50,000 dollars.
        The budget is £5m. | The budget is 5 million pounds.
        The budget is 2.5 million euros. | The budget is 2,500,000 euros.
        The grant is 5 lakh rupees. | The grant is 500000 rupees.
        The grant is 2 crore rupees. | The grant is ₹20,000,000.
        The site has 50k users. | The site has 50,000 users.
        Light moves at 3×10^8 m/s. | Light moves at 300,000,000 m/s.
        The sum is 1e6 dollars. | The sum is one million dollars.
        There are 10⁴ cells. | There are 10,000 cells.
        La ville a 1,2 million d'habitants. | La ville a 1 200 000 habitants.
        Le chiffre d'affaires est de 12 Mds€. | Le chiffre d'affaires est de 12 milliards d'euros.
        5 to 10 million euros are needed. | Between €5 million and €10 million are needed.
        Il faut 20 kEUR. | Il faut 20 000 EUR.
        The firm has 3 thousand employees. | The firm has 3000 employees.
    """,
    "units": """
        The plant delivers 20 MW. | The plant delivers 20 MW to the grid.
        The plant delivers 20000 W. | The plant delivers 20 kW.
        The garage has 3 doors. | The garage has 3 doors and a lift.
        The limit is 50 km/h. | The limit is 50 kilometres per hour.
        La vitesse est de 50 km/h. | La vitesse est de 50 kilomètres à l'heure.
        The limit is 30 mph. | The limit is 30 miles per hour.
        La pièce fait 20 m2. | La pièce fait 20 m².
        La pièce fait 20 m². | La pièce fait 20 mètres carrés.
        The tank holds 5 m3. | The tank holds 5 cubic metres.
        It takes 90 minutes. | It takes 1.5 hours.
        It takes 1 h. | It takes 60 minutes.
        It lasts 24 months. | It lasts 2 years.
        It lasts two weeks. | It lasts 14 days.
        La bouteille contient 150 cL. | La bouteille contient 1,5 L.
        La bouteille contient 75 cl. | La bouteille contient 750 ml.
        It weighs 1500 g. | It weighs 1.5 kg.
        La distance est de 2 km. | La distance est de 2000 m.
        The dose is 5 mg/kg. | The dose is 5 mg per kg.
        The file has 2 GB. | Le fichier fait 2 Go.
        Il consomme 10 kWh. | It uses 10 kWh.
        The fever was 39 °C. | The fever was 39 degrees Celsius.
        Il fait 20 degrés. | Il fait 20 °C.
        The wait is 3 hours. | The wait is 3 hrs.
        La visite dure 2 h. | La visite dure 2 heures.
        It takes 5 days. | Cela prend 5 jours.
        It takes 5. | It takes 5 days.
        The delay is 5 working days. | The delay is 5 business days.
        Le délai est de 5 jours ouvrés. | Le délai est de 5 jours ouvrables.
        It takes 5 days. | It takes 5 working days.
        It holds 30 people. | It holds 30 persons.
        The pipe is 1.80 m long. | Le tuyau fait 1 m 80.
        Il y a 20 salariés. | There are 20 employees.
        The drive has 512 GB. | The drive has 512GB.
        The resistor has 10 kΩ. | The resistor has 10000 Ω.
        The lens has 50 mm. | The lens has 5 cm.
        Weight: 12 kg | Weight (kg): 12
        Délai : 5 jours | Nombre de jours : 5
        It has 4 new wheels. | It has 4 wheels.
        It has 12 brass screws. | It comes with 12 brass screws.
        La salle a 40 chaises. | La salle a 40 chaises rouges.
    """,
    "money": """
        It costs 30 euros. | It costs €30.
        It costs 30 EUR. | It costs 30 €.
        It costs $5. | It costs 5 dollars.
        It costs 5 USD. | It costs US$5.
        It costs £20. | It costs 20 pounds.
        Cela coûte 20 CHF. | Cela coûte 20 francs suisses.
        The fee is CHF 20. | The fee is 20 Swiss francs.
        Cela coûte 20 francs. | Cela coûte 20 CHF.
        The fee is ₹500. | The fee is 500 rupees.
        The fee is ¥500. | The fee is 500 yen.
        The price is 20 Canadian dollars. | The price is CAD 20.
        It costs 2.50 €. | Cela coûte 2 € 50.
        Cela coûte 3,20 €. | Cela coûte 3 euros 20.
        Le prix est de 20 €. | Le prix est de 20 € TTC.
        Le prix est de 20 € HT. | Le prix est de 20 euros hors taxes.
        The stamp costs 90 cents. | The stamp costs 90 cents each.
    """,
    "percent": """
        The rate is 5 %. | The rate is 5 percent.
        Le taux est de 5 %. | Le taux est de 5 pour cent.
        The rate is 5 per cent. | The rate is 5%.
        The rate is 5 ‰. | The rate is 5 per mille.
        Le taux est de 0,5 %. | Le taux est de 5 ‰.
        It rose by 2 percentage points. | It rose by 2 pp.
        Il a augmenté de 2 points de pourcentage. | It rose by 2 percentage points.
        It rose by 50 basis points. | It rose by 0.5 percentage points.
        Five percent is due. | 5 % is due.
    """,
    "ranges": """
        Delivery takes 5-10 days. | Delivery takes 5–10 days.
        Delivery takes 5 to 10 days. | Delivery takes between 5 and 10 days.
        Delivery takes from 5 to 10 days. | Delivery takes 5-10 days.
        La livraison prend de 5 à 10 jours. | La livraison prend entre 5 et 10 jours.
        La livraison prend 5 à 10 jours. | Delivery takes 5 to 10 days.
        The fee is €5-10. | The fee is 5 to 10 euros.
        The fee is between €5 and €10. | The fee is €5–€10.
        It takes two to three weeks. | It takes 2-3 weeks.
        It takes two or three days. | It takes 2 to 3 days.
        It works from -20 to -10 °C. | It works between −20 °C and −10 °C.
        It takes 14 to 21 days. | It takes two to three weeks.
        Il faut entre 20 et 30 kg. | Il faut de 20 à 30 kilos.
        The pay is $40,000-$50,000. | The pay is between $40,000 and $50,000.
        Ages 3 to 5 years. | Children from 3 to 5 years.
    """,
    "bounds": """
        Le contrat dure au moins 3 ans. | Le contrat dure au minimum 3 ans.
        The contract lasts at least 3 years. | The contract lasts no less than 3 years.
        The contract lasts at least 3 years. | The contract lasts 3 years or more.
        The contract lasts at least 3 years. | The contract lasts a minimum of 3 years.
        The contract lasts at most 3 years. | The contract lasts no more than 3 years.
        The contract lasts at most 3 years. | The contract lasts up to 3 years.
        Le contrat dure au plus 3 ans. | Le contrat ne dépasse pas 3 ans.
        Le contrat dure au plus 3 ans. | Le contrat dure jusqu'à 3 ans.
        Le contrat dure au plus 3 ans. | Le contrat dure 3 ans maximum.
        Parcels of more than 30 kg. | Parcels over 30 kg.
        Les colis de plus de 30 kg. | Les colis dépassant 30 kg.
        Les colis de moins de 30 kg. | Parcels under 30 kg.
        Le poids est ≥ 5 kg. | Le poids est d'au moins 5 kg.
        The weight is <= 5 kg. | The weight is at most 5 kg.
        Children under 12 years. | Children below 12 years.
        It must not exceed 500 g. | It must weigh at most 500 g.
        Il ne doit pas excéder 500 g. | Il pèse au maximum 500 g.
        People 65 and over. | People at least 65 years old are eligible: 65 and over.
        Les personnes de 65 ans et plus. | Les personnes d'au moins 65 ans.
        The minimum stay is 2 nights. | You stay for at least 2 nights.
        La durée maximale est de 3 jours. | Cela dure 3 jours au plus.
        À partir de 20 €. | Dès 20 €.
        Prices start at 20 €. | Prices from 20 €.
        Return it within 14 days. | Return it within fourteen days.
        Retour sous 14 jours. | Retour dans les 14 jours.
        Retour sous 14 jours. | Returns within 14 days.
        The return period is 14 days. | Goods can be returned within 14 days.
        Goods can be returned within 14 days. | The return period is 14 days.
        Le délai est de 48 heures. | La réponse arrive sous 48 heures.
        You need 18+ points. | You need at least 18 points.
        The trip takes about 30 minutes. | The trip takes 30 minutes.
        The trip takes about 30 minutes. | The trip takes around 30 minutes.
        Le trajet dure environ 30 minutes. | Le trajet dure 30 minutes environ.
        Il y a près de 200 places. | There are nearly 200 seats.
        The trip takes ~30 min. | The trip takes approximately 30 minutes.
        No fewer than 20 members must attend. | At least 20 members must attend.
        Not more than 5 items. | A maximum of 5 items.
    """,
    "rates": """
        Le loyer est de 500 € par mois. | Le loyer est de 500 €/mois.
        The rent is 500 € per month. | The rent is 500 euros a month.
        The rent is 500 € per month. | The rent is 500 € each month.
        Le loyer est de 500 € par mois. | The rent is €500 per month.
        Le loyer mensuel est de 500 €. | Le loyer est de 500 € par mois.
        The monthly rent is 500 €. | The rent is 500 € per month.
        The annual fee is 20 €. | The fee is 20 € a year.
        The rent is 500 €. | The rent is 500 € per month.
        The fee is 20 € per person. | The fee is 20 € a person.
        Le tarif est de 20 € par personne et par nuit. | Le tarif est de 20 € par nuit et par personne.
        Il gagne 15 € de l'heure. | Il gagne 15 € par heure.
        Il gagne 15 € l'heure. | Il gagne 15 €/h.
        It is inspected every 18 months. | It is inspected once every 18 months.
        Il est contrôlé tous les 18 mois. | It is inspected every 18 months.
        It is cleaned twice a week. | It is cleaned two times per week.
        Il est nettoyé deux fois par semaine. | It is cleaned twice a week.
        It is cleaned every week. | It is cleaned weekly.
        It is cleaned daily. | It is cleaned every day.
        Il est nettoyé chaque jour. | Il est nettoyé tous les jours.
        It is done every two years. | It is done every 2 years.
        It is done once a year. | It is done every 12 months.
        The interval is 18 months. | It is inspected every 18 months.
        The meeting is held every other week. | The meeting is held every two weeks.
        Take 3 tablets per day. | Take 3 tablets a day.
        Prenez 3 comprimés par jour. | Prenez trois comprimés par jour.
        It costs 3 € per kg. | It costs 3 €/kg.
        The consumption is 5 l per 100 km. | The consumption is 5 l/100 km.
        The pump moves 20 L/min. | The pump moves 20 litres per minute.
        Le prix est de 2 000 € le m². | Le prix est de 2 000 €/m².
        At least once every 18 months. | It is to be inspected at least once every 18 months.
    """,
    "identifiers": """
        It needs version 3.1. | It needs version 3.1 or a later one.
        It needs v3.1. | It needs version 3.1.
        It runs on Python 3.10. | The tool runs on Python 3.10.
        See article 12. | See art. 12 of the code.
        Voir l'article L. 145-1. | Le locataire est protégé par l'art. L. 145-1 du code.
        Voir l'article L145-1. | Voir l'article L. 145-1.
        See §5. | See section 5.
        The norm is ISO 9001. | The certificate is ISO 9001.
        The part is FX-2207. | Order part FX-2207 by mail.
        The part is FX 2207. | Order part FX-2207 by mail.
        Call 04 72 10 30 30. | Call 04.72.10.30.30.
        Call +33 4 72 10 30 30. | Call +33 (0)4 72 10 30 30.
        Call 04 72 10 30 30. | Call +33 4 72 10 30 30.
        Write to help@example.org. | Write to help@example.org.
        See www.example.org. | See https://www.example.org/.
        The server is 10.0.0.12. | The server is at 10.0.0.12.
        The office is room B12. | The office is in room B12.
        See page 3. | It is on p. 3.
        Voir le chapitre 2. | Voir chap. 2.
        The first step is step 2. | The first step is Step 2.
        It takes place in room 204. | The course is in room 204, second door.
        Bus 12 stops here. | The bus 12 stops here.
        The reference is 2024-A-17. | The reference is 2024-A-17.
        Article twelve applies. | Article 12 applies.
        Use Windows 11. | You need Windows 11.
        Mon IBAN est FR76 3000 6000 0112 3456 7890 189. | IBAN : FR7630006000011234567890189
        The service is open 24/7. | The hotline is open 24/7.
    """,
    "dates": """
        Le dépôt ouvre le 1 février. | Le dépôt ouvre le 1er février.
        The form is due on 2025-02-01. | The form is due on 1 February 2025.
        The form is due on February 1, 2025. | The form is due on 1 February 2025.
        The form is due on Feb 1, 2025. | The form is due on 1 February 2025.
        Le dossier est attendu le 1er février 2025. | The form is due on 2025-02-01.
        Le dossier est attendu le 01/02/2025. | Le dossier est attendu le 1er février 2025.
        Le dossier est attendu le 1er février. | Le dossier est attendu le 1er février 2025.
        The sale is on 25/12/2024. | The sale is on 25 December 2024.
        The sale is on 12/25/2024. | The sale is on December 25, 2024.
        The sale is on 03/04/2025. | The sale is on 03/04/2025.
        The sale is on May 5th. | The sale is on 5 May.
        The sale is on the 5th of May. | The sale is on 5 May.
        The sale is on the fifth of May. | The sale is on 5 May.
        It was founded in 1911. | The company was founded in 1911.
        Founded in May 1911. | It was founded on 3 May 1911.
        Fondée en mai 1911. | Elle a été fondée le 3 mai 1911.
        Monday 3 February 2025. | 3 February 2025.
        Open on Mondays. | Open on Monday.
        Ouvert du lundi au vendredi. | Open Monday to Friday.
        Open Mon-Fri. | Open from Monday to Friday.
        Born in the 1990s. | Born in the 1990s in Paris.
        Né dans les années 1990. | Born in the 1990s.
        Né dans les années 90. | Né dans les années 1990.
        Built in the 19th century. | Construit au XIXe siècle.
        Built in the nineteenth century. | Built in the 19th century.
        The first quarter of 2025. | Q1 2025.
        Au premier trimestre 2025. | In the first quarter of 2025.
        T1 2025 | 1er trimestre 2025
        Valid until 5 May. | The offer is valid till 5 May.
        Valable jusqu'au 5 mai. | Valid until 5 May.
        À partir du 5 mai. | From 5 May on.
        À partir du 5 mai. | À compter du 5 mai.
        Dès le 5 mai. | À partir du 5 mai.
        Since 2019. | Depuis 2019.
        Before 5 May. | Avant le 5 mai.
        Open from 5 May to 10 June. | Open 5 May - 10 June.
        Du 5 au 10 mai. | From 5 to 10 May.
        5-10 May 2025. | Between 5 and 10 May 2025.
        May 5-10. | From 5 May to 10 May.
        Valid from 5 May. | Valid from 5 May to 10 June.
        The years 2024-2025. | From 2024 to 2025.
        The offer starts on 5 May. | The offer is valid from 5 May.
        Open in May. | The shop is open in May.
        En août 2024. | In August 2024.
        The temple dates from 500 BC. | The temple dates from 500 BC or so they say.
        In the year 1200 it burned. | It burned in 1200.
        By 5 May at the latest. | No later than 5 May.
        Le 14 juillet 1789. | On July 14th, 1789.
    """,
    "times": """
        It opens at 8 pm. | It opens at 20:00.
        It opens at 8 p.m. | It opens at 8:00 PM.
        Ouvert à 20 h. | Open at 8 pm.
        Ouvert à 8h30. | Open at 8:30 a.m.
        Ouvert à 8 h 30. | Ouvert à 8:30.
        It starts at noon. | It starts at 12:00.
        Il commence à midi. | It starts at noon.
        It ends at midnight. | Il se termine à minuit.
        The call is at 14:00 UTC. | The call is at 2 pm UTC.
        The call is at 14:00 UTC. | The call is at 15:00 CET.
        The call is at 14:00. | The call is at 14:00 CET.
        Open 9:00-17:00. | Open from 9 am to 5 pm.
        Ouvert de 9 h à 17 h. | Open 9:00–17:00.
        Ouvert de 9h à 17h30. | Ouvert de 9:00 à 17:30.
        Open 9-11 am. | Open from 9:00 to 11:00.
        It starts at half past eight. | It starts at 8:30.
        It starts at 8 o'clock. | It starts at 8 pm.
        Le rendez-vous est à huit heures et demie. | Le rendez-vous est à 8 h 30.
        Fermeture à 18 heures. | Fermeture à 18:00.
        Il part à 8 heures du soir. | It leaves at 8 pm.
        It leaves at 8 in the evening. | It leaves at 20:00.
        The shop opens at 9:00. | The shop is open from 9:00 to 17:00.
        Le film dure 1 h 30. | Le film dure 90 minutes.
        The film lasts 1h30. | The film lasts 1 hour 30 minutes.
        The film lasts 1 hour and 30 minutes. | Le film dure 1h30.
        Une formation de 20 h. | Une formation de 20 heures.
        The deadline is at 23:59. | The deadline is at 11:59 pm.
        Il ferme à 12 h. | It closes at noon.
        The total is 30:15. | The total is 30:15 hours.
    """,
    "ordinals": """
        It is on the 1st floor. | It is on the first floor.
        C'est au 2e étage. | C'est au deuxième étage.
        C'est au 2e étage. | It is on the second floor.
        This is the 3rd edition. | This is the third edition.
        C'est la troisième édition. | C'est la 3e édition.
        C'est la première fois. | C'est la 1re fois.
        He came 21st. | He came twenty-first.
        La 2nde édition est parue. | La seconde édition est parue.
        The 12th article is long. | The twelfth article is long.
    """,
    "no number": """
        One can pay here. | You can pay here.
        On peut payer ici avec un chèque. | Le paiement par chèque est possible.
        You may march here. | Marching is allowed.
        Wait a second. | Please wait.
        C'est un bâtiment neuf. | Le bâtiment vient d'être construit.
        One of the doors is open. | The door is open.
        Une personne vous répond. | Quelqu'un vous répond.
        Il faut un dossier. | Il faut envoyer le dossier.
        It is a second-hand car. | The car is used.
        Ils sont six. | Il y a 6 personnes.
        That is it. |
    """,
    "parts that stand apart": """
        Each tablet contains .75 mg. | The tablet contains 0.75 mg.
        Children between 7 and 12 years of age can come. | The camp takes children aged 7 to 12.
        Children under six years old travel free. | Children under six travel free.
        It closes at 12 noon. | It closes at noon.
        Le conseil compte 23 élus. | Le conseil compte vingt-trois élus.
        Elle forme quatre apprentis chaque année. | Elle forme chaque année quatre apprentis.
        Chaque année, elle forme quatre apprentis. | Elle forme quatre apprentis par an.
        She trains four apprentices every year. | Every year, in spring, she trains four apprentices.
        The pedalo has 4 seats. | Boat: Pedalo; Seats: 4; Price per day: 48 €
        The pedalo costs 48 € per day. | Boat: Pedalo; Seats: 4; Price per day: 48 €
        Le forfait est à 15 € par mois. | Forfait : Grand ; Prix mensuel : 15 €
        It arrives no later than 14 days after the order. | It arrives at most 14 days after the order.
        The larger of the two is red. | The larger one is red.
    """,
    "sentences of documents": """
        The credit is limited to 500 euros. | The credit is capped at 500 €.
        The tolerance is ±5 mm. | The tolerance is +/- 5 mm.
        La peine ne peut pas être supérieure à 30 ans. | La peine est de 30 ans au plus.
        It must not be less than 5 m. | It must be at least 5 m.
        The fee is two hundred and fifty euros. | The fee is €250.
        Le montant s'élève à mille deux cents euros. | Le montant s'élève à 1 200 €.
        The building has three floors. | The building has 3 storeys.
        La facture est de 1.234,50 €. | La facture est de 1 234,50 €.
        The price is 1.234.567,89 EUR. | The price is 1,234,567.89 EUR.
        The file weighs 1500 MB. | The file weighs 1.5 GB.
        Le débit est de 100 Mbit/s. | Le débit est de 100 Mb/s.
        The engine has 150 hp. | The engine has 150 horsepower.
        The noise is 60 dB. | The noise is 60 decibels.
        Rates rose from 2 % to 3 %. | Rates went up from 2 % to 3 %.
        The rate rose to 3 %. | The rate rose from 2 % to 3 %.
        The price fell from 20 € to 15 €. | The price dropped from 20 to 15 euros.
        You must be 18 or older. | You must be at least 18.
        You must be 18 years or older. | You must be at least 18 years old.
        Réservé aux plus de 18 ans. | Reserved for people over 18 years.
        Interdit aux moins de 18 ans. | Forbidden for people under 18 years.
        The shop is open until 6 pm. | Opening hours: until 18:00.
        Le magasin ferme à 19 h. | Le magasin est ouvert jusqu'à 19 h.
        The train leaves at 14:05. | Le train part à 14h05.
        The meeting is on Tuesday at 10 am. | The meeting takes place on Tuesday at 10:00.
        Due by 31 March 2025. | Due no later than March 31, 2025.
        Le délai expire le 31/03/2025. | The period expires on 31 March 2025.
        Valable 2 ans. | Valid for 24 months.
        Valid for one and a half years. | Valid for 18 months.
        La garantie est de deux ans et demi. | La garantie est de 30 mois.
        Payable in 3 instalments. | Payable in three instalments.
        Il faut 250 g de farine. | Il faut 0,25 kg de farine.
        Add a pinch of salt and 2 eggs. | Add two eggs.
        Ligne 4, arrêt 12. | Prenez la ligne 4 jusqu'à l'arrêt 12.
        Call 112. | In an emergency call 112.
        Chapter 2 applies. | See chapter two.
        Règlement (UE) 2016/679 | Le règlement (UE) 2016/679 s'applique.
        Décret n° 2020-87. | Le décret n°2020-87 du 5 février 2020.
        Your order number is 4711. | The order number is 4711.
        The score was 3-1. | They won 3–1.
        A ratio of 2:1. | The ratio is 2:1.
        The file is 2,5 Mo. | The file is 2.5 MB.
        In 2024, 1,250 people came. | 1250 people came in 2024.
        There were 1.2 million visitors. | There were 1,200,000 visitors.
        Environ un tiers des élèves. | Environ 1/3 des élèves.
        One in three pupils. | One in three pupils fails.
        Un élève sur trois. | Un élève sur 3 échoue.
        The interest is 3.5 % p.a. | The interest is 3.5 % per year.
        L'intérêt est de 3,5 % par an. | L'intérêt annuel est de 3,5 %.
        The cost is $2.50/hour. | The cost is $2.50 an hour.
        35 heures par semaine. | 35 heures hebdomadaires.
        Un forfait à 20 €/mois. | Un forfait à 20 € mensuels.
        The bus runs every ten minutes. | The bus runs every 10 minutes.
        Un bus toutes les 10 minutes. | The bus runs every 10 minutes.
        It is the 21st century. | C'est le XXIe siècle.
        The second edition appeared in 2005. | La deuxième édition est parue en 2005.
        Né le 3 mars 1998. | Born on March 3rd, 1998.
        La séance du 12 septembre 2024 à 14 h 30. | The session is on 12 September 2024 at 2:30 pm.
        Between 1990 and 1995. | From 1990 to 1995.
        In the mid-1990s. | It happened in the mid-1990s.
        The 2008 crisis. | The crisis of 2008.
        Les années 60. | Les années 1960.
        The 60s. | The 1960s.
        The temperature is 37.5°C. | La température est de 37,5 °C.
        -10 to -5 °C. | From minus 10 to minus 5 degrees Celsius.
        A delay of 48 h. | A delay of two days.
        Cela coûte 12 euros et 50 centimes. | Cela coûte 12,50 €.
        1 m 75 | He is 1.75 m tall.
        He is 5 ft 10 in tall. | He is 70 inches tall.
        Il mesure 1,75 m. | Il mesure 175 cm.
        Chaque colis pèse 30 kg au maximum. | Parcels weigh at most 30 kg each.
        Between 3 and 5 working days. | 3 to 5 business days.
        You have until midnight. | You have until midnight on Sunday.
        From 9 to 12. | Open from 9 to 12.
        De 9 h à 12 h et de 14 h à 18 h. | Ouvert de 9h à 12h et de 14h à 18h.
        Open Monday to Friday, 9 am–5 pm. | Open Mon–Fri 9:00–17:00.
        Le prix passe de 10 € à 12 €. | Le prix passe de 10 à 12 euros.
        15 % de remise. | A discount of 15 percent.
        The warranty is 2 years. | The warranty period is two (2) years.
        Two (2) years. | 2 years.
        Thirty (30) days. | The period is 30 days.
        The A4 sheet. | Use A4 paper.
        Le TGV 6607. | Le TGV 6607 part à l'heure.
        Flight AF123. | Flight AF 123 is late.
        The ISBN is 978-3-16-148410-0. | ISBN 978-3-16-148410-0
        Version 10.0.1 | Update to 10.0.1 now.
        Firmware 3.10 | Install firmware 3.10.
        Use Java 17. | Java 17 is needed.
        No refunds after 30 days. | There are no refunds after 30 days.
        Deux enfants sur trois. | Deux enfants sur trois partent.
        3 fois par jour. | Three times daily.
        3 x par jour | Trois fois par jour
        Take it three times a day. | Trois fois par jour.
        The area is 2 ha. | The area is 20,000 m².
        1 200 € nets par mois. | 1 200 € net par mois.
        It takes a week. | It takes 7 days.
        Il faut compter une semaine. | Il faut compter 7 jours.
        Une heure de cours. | 1 heure de cours.
        Il reste un euro. | Il reste 1 €.
        Only one child is admitted. | Only 1 child is admitted.
        It happened twice. | It happened twice last year.
        Cela s'est produit deux fois. | Cela s'est produit 2 fois.
        The room is 25 sq m. | The room is 25 m².
        The sum of 1,000,000 dollars. | One million dollars.
        It costs 99 ct. | It costs 99 ct.
        Une amende de 1500 euros. | Une amende de 1 500 euros.
        Up to 80% off. | Save up to 80 %.
        Less than half of them. | Fewer than half of them.
        5.000 euros | 5.000 euros
        10 million | Ten million
        7 € l'entrée. | L'entrée coûte 7 €.
        Room 12 is free. | Room 12 is free today.
        The 3 rooms cost 90 €. | The three rooms cost 90 euros.
        Every 2 years. | Tous les deux ans.
        Bi-monthly. | Bi-monthly.
        On average 3 hours. | 3 hours on average.
        Le 1er et le 15 de chaque mois. | Le 1er et le 15 de chaque mois.
        On the 1st of each month. | On the first of each month.
        2.5 stars | 2.5 stars out of 5
        Tel. 01 23 45 67 89 | Tél. : 01.23.45.67.89
        (555) 123-4567 | 555-123-4567
        69003 Lyon | 12 rue de la Paix, 69003 Lyon
        The year 2025 | In 2025
        It weighs 2000 g. | It weighs 2 kg.
        L'an 2000. | En 2000.
        20 à 25 personnes. | Entre 20 et 25 personnes.
        jusqu'à 25 personnes | 25 personnes au maximum
    """,
    "short answers and notices": """
        It aired from September 17, 1972 to February 28, 1983. | It aired from **September 17, 1972** to **February 28, 1983**.
        The fee is **20 euros**. | The fee is 20 €.
        He died at age 57. | He died at 57 years.
        La TVA est de 20 %. | Le taux de TVA est de 20 %.
        Le délai est de 2 mois à compter de la notification. | Un délai de deux mois à compter de la notification.
        The deadline is 15 January. | The deadline is January 15th.
        Le seuil est fixé à 85 800 euros. | Le seuil est de 85 800 €.
        The deposit is one month's rent. | The deposit is 1 month's rent.
        Deux mois de loyer. | 2 mois de loyer
        The pool is 25 m long. | The pool is 25 metres long.
        La prime est de 1 000 € bruts. | La prime est de 1000 euros brut.
        The speed is 5.5 Gbit/s. | The speed is 5.5 Gb/s.
        80 dB(A) | 80 dB(A)
        Un préavis de huit jours. | Un préavis de 8 jours.
        between one and three months | 1 to 3 months
        entre un et trois mois | de 1 à 3 mois
        one or two days | 1 or 2 days
        un ou deux jours | 1 ou 2 jours
        at 7:30 in the evening | at 19:30
        à 7 h 30 du matin | at 7:30 am
        at 12 pm | at noon
        at 12 am | at midnight
        00:30 | 12:30 am
        L'école ferme à 16 h 30. | School ends at 4:30 pm.
        The lesson lasts 45 min. | The lesson lasts three quarters of an hour.
        Trois quarts d'heure. | 45 minutes
        1 h 15 min | 75 minutes
        2 h 30 min de route | Two and a half hours' drive
        Le 11/11/1918 | On 11 November 1918
        spring 2024 | in spring 2024
        fin mai 2024 | at the end of May 2024
        week 12 | week 12
        4th quarter 2023 | Q4 2023
        the government (1951-63) | from 1951 to 1963
        au 2e trimestre 2023 | in the second quarter of 2023
        44 av. J.-C. | 44 av. J.-C.
        the 18th and 19th centuries | the 18th and 19th centuries
        over 2 million | more than 2,000,000
        €1.2m | 1.2 million euros
        1,2 Md€ | 1,2 milliard d'euros
        3,5 tonnes | 3500 kg
        PTAC inférieur à 3,5 t | PTAC de moins de 3,5 tonnes
        pH 7.4 | a pH of 7.4
        a 5-year-old child | a child of 5 years
        a 10-page document | a document of 10 pages
        un studio de 20 m² à 450 €/mois | 450 € par mois pour un studio de 20 m²
        Le ticket coûte 1,90 €. | Ticket : 1,90 € (plein tarif)
        0 800 123 456 | 0 800 123 456
        N° SIRET : 123 456 789 00012 | SIRET 12345678900012
        art. L.145-1 | article L 145-1
        Articles 12 and 13 | Articles 12 and 13
        alinéa 2 | alinéa 2
        Loi n° 89-462 | la loi n°89-462 du 6 juillet 1989
        zone 3 | Zone 3
        grade B2 | level: grade B2
        le niveau B2 | niveau B2 requis
        -5 % | a decrease: −5 %
        temperatures down to -15 °C | temperatures down to minus 15 °C
        below -15 °C | under −15 °C
        not more than three times a week | at most three times per week
        au plus trois fois par semaine | pas plus de trois fois par semaine
        up to twice a year | at most twice a year
        une fois tous les cinq ans | every five years
        tous les 5 ans | once every five years
        12 months' warranty | a warranty of one year
        demi-tarif | à demi-tarif
        3/4 de tasse | trois quarts de tasse
        1,5 fois le salaire | une fois et demie le salaire
        deux fois plus | deux fois plus
    """,
}

DIFFERENT = {
    "sign": """
        The balance is 250 euros. | The account balance is -250 euros.
        The balance is 250 euros. | The account balance is −250 euros.
        The balance is -250 euros. | The account balance is 250 euros.
        Store it at 20 °C. | Store it at −20 °C.
        Store it at 20 °C. | Store it at –20 °C.
        Le solde est de 250 euros. | Le solde est de moins 250 euros.
        It is 5 degrees. | It is 5 degrees below zero.
        It works from 20 to 30 °C. | It works from -20 to 30 °C.
        The loss is 50 €. | The result is -€50.
    """,
    "digits": """
        Le loyer est de 234.50 francs. | Le loyer est de 1'234.50 francs.
        Le loyer est de 234,56 €. | Le loyer est de 1\u2009234,56 €.
        Le loyer est de 234,56 €. | Le loyer est de 1\u202f234,56 €.
        La dose est de 1125 mg. | La dose du sirop est de 1,125 mg.
        The dose is 1125 mg. | The dose is 1.125 mg.
        The dose is 1.125 mg. | The dose is 1,125 mg.
        Le prix est de 1500 €. | Le prix est de 1,500 €.
        It costs 1.5 euros. | It costs €1.500.
        There are 1.5 students. | There are 1,500 students.
        It costs $1234. | It costs $12.34.
        La dose est de 125 mg. | La dose est de 0,125 mg.
        There are 25000 rupees. | There are 1,25,000 rupees.
        It has 500 members. | It has 1 500 members.
        The sum is 104. | The sum is 10⁴.
        It weighs 25 kg. | It weighs 2.5 kg.
    """,
    "fractions": """
        Half of the students passed. | A third of the students passed.
        It takes 2 hours. | It takes 2½ hours.
        Cela dure une heure. | Cela dure une heure et demie.
        Two thirds voted for it. | Three quarters voted for it.
        La moitié est payée. | Un quart est payé.
        It takes half an hour. | It takes an hour and a half.
        Add 2 litres. | Add 1/2 litre.
        Trois quarts des élèves. | Un quart des élèves.
    """,
    "words": """
        The notice period is 60 days. | The notice period is thirty days.
        Le délai est de trente jours. | Le délai est de treize jours.
        Il y a 70 places. | Il y a soixante et onze places.
        Il y a 90 places. | Il y a quatre-vingt-dix-sept places.
        Il y a 20 places. | Il y a quatre-vingts places.
        There are 100 members. | There are one hundred and five members.
        There are 5 members. | There are one hundred and five members.
        Il y a deux mille livres. | Il y a deux cent mille livres.
        The contract lasts one year. | The contract lasts two years.
        Le contrat dure un an. | Le contrat dure deux ans.
        Buy 10 eggs. | Buy a dozen eggs.
        20 personnes sont venues. | Une vingtaine de personnes sont venues.
        The lease is for seven years. | The lease is for nine years.
        There are fifteen rooms. | There are fifty rooms.
        The prize is two million dollars. | The prize is two thousand dollars.
        Il y a 7 élèves. | Il y a 17 élèves.
        Only one ticket is left. | Two tickets are left.
    """,
    "scales": """
        Le budget est de 50 €. | Le budget est de 50 k€.
        Le budget est de 50 euros. | Le budget est de 50 milliers d'euros.
        Le budget est de 50 k€. | Le budget est de 50 M€.
        The grant is 5 rupees. | The grant is 5 lakh rupees.
        The grant is 5 lakh rupees. | The grant is 5 crore rupees.
        The budget is 3 million euros. | The budget is €3bn.
        The budget is $50. | The budget is $50K.
        Le budget est de 3 millions d'euros. | Le budget est de 3 milliards d'euros.
        The site has 50 users. | The site has 50k users.
        There are 10 cells. | There are 10⁴ cells.
        The sum is 3 dollars. | The sum is 3e6 dollars.
        Le budget est de 3 M€. | Le budget est de 3 Md€.
        5 euros are needed. | 5 million euros are needed.
        La ville a 1,2 milliard d'habitants. | La ville a 1,2 million d'habitants.
        The budget is £5. | The budget is £5m.
    """,
    "units": """
        The plant delivers 20 kW. | The plant delivers 20 MW.
        The plant delivers 20 mW. | The plant delivers 20 MW.
        The pressure is 35 bar. | The pressure is 35 psi.
        The fuse is rated at 10 A. | The fuse is rated at 10 mA.
        The fuse is rated at 10 A for this circuit. | The fuse is rated at 10 mA for this circuit.
        The limit is 50 km/h. | The limit is 50 mph.
        The fee is 20 euros. | The fee is 20 francs.
        La surface est de 50 m. | La surface est de 50 m².
        La surface est de 50 m². | Le volume est de 50 m³.
        It takes 5 days. | It takes 5 hours.
        Cela prend 5 jours. | Cela prend 5 semaines.
        It weighs 5 kg. | It weighs 5 g.
        It weighs 5 kg. | It weighs 5 lb.
        The dose is 5 mg. | The dose is 5 µg.
        The dose is 5 mg. | The dose is 5 ml.
        The dose is 5 mg. | The dose is 5 mg/kg.
        The garage has 3 doors. | The garage has 3 windows.
        Il y a 3 portes. | Il y a 3 fenêtres.
        Il y a 30 patients. | Il y a 30 médecins.
        There are 30 new patients. | There are 30 new doctors.
        The file has 2 GB. | The file has 2 MB.
        It is 20 °C. | It is 20 °F.
        It holds 5 litres. | It holds 5 gallons.
        The distance is 5 km. | The distance is 5 miles.
        It uses 10 kWh. | It uses 10 kW.
        It takes 5 working days. | It takes 5 calendar days.
        It takes 5 working days. | It takes 5 days.
        Le délai est de 5 jours ouvrables. | Le délai est de 5 jours calendaires.
        It drives 50 km. | It drives at 50 km/h.
        It lasts 2 months. | It lasts 2 years.
        The screen is 15 inches. | The screen is 15 cm.
        The cable carries 5 V. | The cable carries 5 A.
        It takes 5 days. | It takes 5.
        Le câble mesure 3 m. | Le câble mesure 3 mm.
        The box has 12 nails. | The box has 12 screws.
        La cuve contient 10 hl. | La cuve contient 10 l.
        It takes 30 seconds. | It takes 30 minutes.
    """,
    "money": """
        It costs 30 dollars. | It costs 30 euros.
        It costs £20. | It costs $20.
        It costs £20. | It costs €20.
        It costs 20 CHF. | It costs 20 EUR.
        It costs 50 euros. | It costs 50 cents.
        Le prix est de 20 € HT. | Le prix est de 20 € TTC.
        Le salaire est de 2000 € nets. | Le salaire est de 2000 € bruts.
        It costs 2 €. | Cela coûte 2 € 50.
        The price is 20 Canadian dollars. | The price is 20 Australian dollars.
        The fee is ₹500. | The fee is ¥500.
    """,
    "percent": """
        Le taux est de 5 %. | Le taux est de 5 ‰.
        The rate rose by 2 %. | The rate rose by 2 percentage points.
        Le taux a augmenté de 2 %. | Le taux a augmenté de 2 points de pourcentage.
        The rate is 5 %. | The rate is 15 %.
        The rate is 0.5 %. | The rate is 5 %.
        The fee is 5 euros. | The fee is 5 %.
        The level is 5 %. | The level is 5 ppm.
    """,
    "ranges": """
        Delivery takes 5 days. | Delivery takes 5 to 10 days.
        Delivery takes 10 days. | Delivery takes 5-10 days.
        Delivery takes 5-10 days. | Delivery takes 5-15 days.
        Delivery takes 5 to 10 days. | Delivery takes 10 days.
        La livraison prend 5 jours. | La livraison prend de 5 à 10 jours.
        La livraison prend 10 jours. | La livraison prend entre 5 et 10 jours.
        The fee is 5 euros. | The fee is €5-10.
        It takes 7 days. | It takes 5 to 10 days.
        It takes two days. | It takes two or three days.
        Delivery takes 5 to 10 days. | Delivery takes 5 to 10 weeks.
        The fee is 10 euros. | The fee is between €5 and €10.
        It takes 2 to 3 days. | It takes 23 days.
    """,
    "bounds": """
        The contract lasts at most 3 years. | The contract lasts at least 3 years.
        Le contrat dure au plus 3 ans. | Le contrat dure au moins 3 ans.
        The contract lasts 3 years. | The contract lasts at least 3 years.
        The contract lasts 3 years. | The contract lasts at most 3 years.
        The contract lasts at least 3 years. | The contract lasts 3 years.
        Le contrat dure 3 ans. | Le contrat dure jusqu'à 3 ans.
        Parcels of more than 30 kg. | Parcels of less than 30 kg.
        Les colis de plus de 30 kg. | Les colis de moins de 30 kg.
        Parcels of more than 30 kg. | Parcels of 30 kg.
        A child over 12 years. | A child under 12 years.
        Le poids est ≥ 5 kg. | Le poids est ≤ 5 kg.
        Le poids est > 5 kg. | Le poids est < 5 kg.
        People 65 and over. | People 65 and under.
        Les personnes de 65 ans et plus. | Les personnes de 65 ans et moins.
        Les personnes de plus de 65 ans. | Les personnes de 65 ans et plus.
        More than 5 items. | At least 5 items.
        Less than 5 items. | Up to 5 items.
        The minimum stay is 2 nights. | The maximum stay is 2 nights.
        La durée maximale est de 3 jours. | La durée minimale est de 3 jours.
        Prices from 20 €. | Prices up to 20 €.
        À partir de 20 €. | Jusqu'à 20 €.
        The price is 20 €. | The price starts at 20 €.
        It weighs 500 g. | It must not exceed 500 g.
        Return it within 14 days. | Return it after 14 days.
        Retour sous 14 jours. | Retour après 14 jours.
        Return it within 14 days. | Return it within 30 days.
        The trip takes 30 minutes. | The trip takes about 30 minutes.
        Il y a 200 places. | Il y a près de 200 places.
        20 members must attend. | No fewer than 20 members must attend.
        Exactly 5 items. | 5 items or more.
        Au minimum 5 kg. | Au maximum 5 kg.
        No more than 5 days. | No less than 5 days.
        It takes less than an hour. | It takes more than an hour.
        Il ne doit pas excéder 500 g. | Il doit excéder 500 g.
    """,
    "rates": """
        The rent is 500 € per month. | The rent is 500 € per year.
        Le loyer est de 500 € par mois. | Le loyer est de 500 € par an.
        The rent is 500 € per month. | The rent is 500 € per week.
        The rent is 500 € per month. | The rent is 500 €.
        The monthly rent is 500 €. | The annual rent is 500 €.
        L'abonnement annuel coûte 20 €. | L'abonnement mensuel coûte 20 €.
        The fee is 20 € per person. | The fee is 20 € per group.
        Le tarif est de 20 € par adulte. | Le tarif est de 20 € par enfant.
        Il gagne 15 € de l'heure. | Il gagne 15 € par jour.
        It is inspected every 18 months. | It is inspected every 12 months.
        It is cleaned twice a week. | It is cleaned twice a month.
        It is cleaned twice a week. | It is cleaned once a week.
        Il est nettoyé deux fois par semaine. | Il est nettoyé trois fois par semaine.
        It is cleaned weekly. | It is cleaned monthly.
        It is cleaned every day. | It is cleaned every week.
        Il est nettoyé tous les jours. | Il est nettoyé tous les mois.
        The interval is 12 months. | It is inspected every 18 months.
        Take 3 tablets per day. | Take 3 tablets per week.
        Take 3 tablets per day. | Take 2 tablets per day.
        It costs 3 € per kg. | It costs 3 € per litre.
        The pump moves 20 L/min. | The pump moves 20 L/h.
        It is done every two years. | It is done twice a year.
        Prenez 1 comprimé toutes les 6 heures. | Prenez 1 comprimé toutes les 8 heures.
    """,
    "identifiers": """
        It needs version 3.1. | It needs version 3.10.
        It needs version 3.10. | It needs version 3.1.
        It runs on Python 3.1. | It runs on Python 3.10.
        It needs v2. | It needs v3.
        It needs release 2.0. | It needs release 2.0.1.
        See article 12. | See article 21.
        Le bail suit l'article L. 999-9. | Le bail suit l'article L. 145-1 du code.
        Voir l'article L. 145-1. | Voir l'article R. 145-1.
        Voir l'article L. 145-1. | Voir l'article L. 145-10.
        See §5. | See §6.
        The norm is ISO 9001. | The norm is ISO 14001.
        The part is FX-2207. | The part is FX-2270.
        The part is FX-2207. | The part is FZ-2207.
        Call 04 72 10 30 30. | Call 04 72 10 30 31.
        Write to help@example.org. | Write to sales@example.org.
        The server is 10.0.0.12. | The server is at 10.0.0.21.
        The office is room B12. | The office is in room B21.
        See page 3. | See page 13.
        See page 3. | See chapter 3.
        See section 3.1. | See section 3.10.
        Bus 12 stops here. | Bus 21 stops here.
        Use Windows 10. | You need Windows 11.
        The reference is 2024-A-17. | The reference is 2024-A-71.
        Line 4 goes there. | Line 14 goes there.
        Go to gate A4. | Go to gate A14.
        L'adresse IP est 192.168.1.1. | L'adresse IP est 192.168.1.11.
        Use form 1040. | Use form 1041.
    """,
    "dates": """
        The form is due on 2025-02-01. | The form is due on 2 January 2025.
        The form is due on 1 February 2025. | The form is due on 1 February 2024.
        The form is due on 1 February 2025. | The form is due on 1 February.
        Le dossier est attendu le 02/01/2025. | Le dossier est attendu le 1er février 2025.
        The sale is on 03/04/2025. | The sale is on 3 April 2025.
        The sale is on 5 May. | The sale is on 5 June.
        The sale is on 5 May. | The sale is on 6 May.
        La vente est le 5 mai. | La vente est le 15 mai.
        It was founded in 1911. | It was founded in 1912.
        Elle a été fondée en 1911. | Elle a été fondée en 1991.
        Founded in May 1911. | It was founded in March 1911.
        Open on Mondays. | Open on Tuesdays.
        Ouvert le lundi. | Ouvert le mardi.
        Ouvert du lundi au vendredi. | Ouvert du lundi au samedi.
        Open Monday. | Open Monday to Friday.
        Tuesday 3 February 2025. | 3 February 2025.
        Born in the 1990s. | Born in the 1980s.
        Built in the 19th century. | Built in the 18th century.
        Construit au XIXe siècle. | Construit au XXe siècle.
        The first quarter of 2025. | The second quarter of 2025.
        Q1 2025 | Q1 2024
        Valid until 5 May. | Valid from 5 May.
        Les dossiers sont acceptés jusqu'au 5 mai. | Les dossiers sont acceptés à partir du 5 mai.
        Before 5 May. | After 5 May.
        Avant le 5 mai. | Après le 5 mai.
        On 5 May. | Until 5 May.
        Le 5 mai. | À partir du 5 mai.
        Since 2019. | Until 2019.
        Open from 5 May to 10 June. | Open from 5 May to 20 June.
        On 5 May. | From 5 May to 10 June.
        Du 5 au 10 mai. | Du 5 au 15 mai.
        Valid from 10 June. | Valid from 5 May to 10 June.
        The offer starts on 5 May. | The offer ends on 5 May.
        The offer starts on 5 May. | The offer is valid until 5 May.
        Open in May. | Open in March.
        In 2024. | From 2024 to 2026.
        Closed in August. | Closed in July.
        The temple dates from 500 BC. | The temple dates from AD 500.
    """,
    "times": """
        It opens at 8 pm. | It opens at 8 am.
        It opens at 8 p.m. | It opens at 8 a.m.
        It opens at 8:30. | It opens at 8:30 pm.
        Ouvert à 8 h. | Ouvert à 20 h.
        Ouvert à 8h30. | Ouvert à 8h.
        Ouvert à 18h30. | Ouvert à 18h45.
        The call is at 14:00 UTC. | The call is at 14:00 CET.
        The call is at 14:00 EST. | The call is at 14:00.
        Open 9:00-17:00. | Open 9:00-18:00.
        Ouvert de 9 h à 17 h. | Ouvert de 10 h à 17 h.
        The shop opens at 17:00. | The shop is open from 9:00 to 17:00.
        It starts at noon. | It starts at midnight.
        Il commence à midi. | Il commence à minuit.
        The shop closes at 9:00. | The shop opens at 9:00.
        It starts at half past eight. | It starts at half past nine.
        Le film dure 1 h 30. | Le film dure 1 h 50.
        The film lasts 1h30. | The film lasts 1.3 hours.
        Until 8 pm. | From 8 pm.
        Avant 8 h. | Après 8 h.
        Open 9 am to 5 pm. | Open 9 pm to 5 am.
        The total is 30:15. | The total is 15:30.
        Une formation de 20 h. | Une formation de 20 minutes.
        At 12:30. | At 00:30.
    """,
    "ordinals": """
        It is on the 1st floor. | It is on the second floor.
        C'est au 2e étage. | C'est au troisième étage.
        C'est au 2e étage. | C'est au 12e étage.
        This is the 3rd edition. | This is the 2nd edition.
        C'est la première édition. | C'est la deuxième édition.
        He came 21st. | He came 22nd.
        It is the third time. | It is the first time.
        It has 2 floors. | It is on the 2nd floor.
    """,
    "missing": """
        It takes 5 days. | It takes some days.
        It was founded in 1911. | It was founded long ago.
        Ouvert à 20 h. | Ouvert le soir.
        It costs 20 €. | It is free.
        See article 12. | See the code.
        5 of 10 rooms are free. | 5 rooms are free.
        Il y a 5 chambres et 2 cuisines. | Il y a 5 chambres.
        Twelve people came on Monday. | Twelve people came.
    """,
    "parts that stand apart": """
        Each tablet contains 75 mg. | The tablet contains .75 mg.
        Children under six travel free. | Children over six travel free.
        Children aged 7 to 12. | The camp takes children aged 7 to 14.
        Elle forme quatre apprentis chaque mois. | Elle forme chaque année quatre apprentis.
        The pedalo has 4 seats. | Boat: Pedalo; Seats: 3; Price per day: 48 €
        The pedalo costs 48 € per week. | Boat: Pedalo; Seats: 4; Price per day: 48 €
        Le forfait est à 15 € par an. | Forfait : Grand ; Prix mensuel : 15 €
        It arrives no earlier than 14 days after the order. | It arrives no later than 14 days after the order.
        Both arrive within the two weeks. | Both arrive within three weeks.
    """,
    "sentences of documents": """
        The credit is 500 euros. | The credit is limited to 500 euros.
        The tolerance is 5 mm. | The tolerance is ±5 mm.
        La peine est supérieure à 30 ans. | La peine ne peut pas être supérieure à 30 ans.
        It is less than 5 m. | It must not be less than 5 m.
        Le montant s'élève à deux cents euros. | Le montant s'élève à mille deux cents euros.
        La facture est de 1,23 €. | La facture est de 1.234,50 €.
        The file weighs 1.5 MB. | The file weighs 1.5 GB.
        The internet runs at 100 Mb/s. | The internet runs at 100 MB/s.
        The engine has 150 hp. | The engine has 150 kW.
        The rate rose to 2.5 %. | The rate rose from 2 % to 3 %.
        You must be 18. | You must be over 18.
        You must be over 18. | You must be 18 or older.
        Interdit aux moins de 18 ans. | Interdit aux moins de 16 ans.
        Interdit aux moins de 18 ans. | Interdit aux plus de 18 ans.
        Le magasin ouvre à 19 h. | Le magasin est ouvert jusqu'à 19 h.
        The shop closes at 6 pm. | The shop opens at 6 pm.
        The train leaves at 14:05. | Le train part à 14h50.
        The train leaves at 2 pm. | The train leaves at 2 am.
        The meeting is on Tuesday at 10 am. | The meeting takes place on Thursday at 10:00.
        Due after 31 March 2025. | Due by 31 March 2025.
        Due by 31 March 2025. | Due by 30 March 2025.
        Valid for one and a half years. | Valid for 15 months.
        Payable in 3 instalments. | Payable in 4 instalments.
        Add 3 eggs. | Add two eggs.
        Ligne 4. | Prenez la ligne 14.
        Call 112. | In an emergency call 115.
        Règlement (UE) 2016/679 | Le règlement (UE) 2016/697 s'applique.
        Décret n° 2020-87. | Le décret n°2020-78 du 5 février 2020.
        Your order number is 4711. | The order number is 4712.
        The score was 3-1. | They won 3-2.
        The score was 1-3. | They won 3-1.
        A ratio of 2:1. | The ratio is 1:2.
        In 2023, 1,250 people came. | 1250 people came in 2024.
        In 2024, 1,520 people came. | 1250 people came in 2024.
        Un tiers des élèves. | Environ un tiers des élèves.
        One in three pupils. | One in four pupils fails.
        Un élève sur trois. | Un élève sur quatre échoue.
        L'intérêt est de 3,5 % par mois. | L'intérêt est de 3,5 % par an.
        The bus runs every ten minutes. | The bus runs every 20 minutes.
        Né le 3 mars 1998. | Born on May 3rd, 1998.
        La séance du 12 septembre 2024 à 14 h 30. | The session is on 12 September 2024 at 2:30 am.
        In 1990. | Between 1990 and 1995.
        Since 1990. | In 1990.
        The temperature is 37.5°C. | La température est de 35,7 °C.
        5 to 10 °C. | From minus 10 to minus 5 degrees Celsius.
        A delay of 48 h. | A delay of 48 days.
        Cela coûte 12 euros. | Cela coûte 12 euros et 50 centimes.
        Il mesure 1,75 m. | Il mesure 1,57 m.
        Between 3 and 5 days. | 3 to 5 weeks.
        3 to 5 working days. | 3 to 5 days.
        De 9 h à 12 h et de 14 h à 19 h. | Ouvert de 9h à 12h et de 14h à 18h.
        Open Monday to Saturday, 9 am–5 pm. | Open Mon–Fri 9:00–17:00.
        15 % de remise. | A discount of 50 percent.
        Thirty (30) days. | The period is 40 days.
        The A4 sheet. | Use A3 paper.
        Le TGV 6607. | Le TGV 6670 part à l'heure.
        Flight AF123. | Flight AF132 is late.
        The ISBN is 978-3-16-148410-0. | ISBN 978-3-16-148401-0
        Version 10.0.1 | Update to 10.0.10 now.
        Firmware 3.1 | Install firmware 3.10.
        Section 2.1 | See section 2.10.
        Use Java 8. | Java 17 is needed.
        No refunds after 30 days. | There are no refunds after 60 days.
        Take it three times a day. | Deux fois par jour.
        1 200 € nets par mois. | 1 200 € brut par mois.
        It takes a week. | It takes 7 weeks.
        Une heure de cours. | Deux heures de cours.
        Il reste un euro. | Il reste deux euros.
        Only one child is admitted. | Only 2 children are admitted.
        It happened twice. | It happened three times last year.
        80% off. | Save up to 80 %.
        Half of them. | More than half of them.
        5 euros | 5.000 euros
        Room 12 is free. | Room 21 is free today.
        The 3 rooms cost 90 €. | The three rooms cost 80 euros.
        Every 2 years. | Tous les trois ans.
        Le 1er de chaque mois. | Le 15 de chaque mois.
        On the 1st of each month. | On the 15th of each month.
        Tel. 01 23 45 67 89 | Tél. : 01.23.45.67.98
        69003 Lyon | 12 rue de la Paix, 69004 Lyon
        14 rue de la Paix | 12 rue de la Paix, 69003 Lyon
        It costs 2025 euros. | In 2025 it was free.
        It costs 2000 euros. | In 2000 it was free.
        20 personnes. | De 20 à 25 personnes.
        25 personnes. | De 20 à 25 personnes.
    """,
    "short answers and notices": """
        Le délai est de 2 mois. | Le délai est de 2 semaines.
        The deadline is 15 January. | The deadline is 15 February.
        Le seuil est fixé à 85 800 euros. | Le seuil est de 58 800 €.
        The deposit is one month's rent. | The deposit is two months' rent.
        The pool is 25 m long. | The pool is 25 yards long.
        80 dB | 70 dB
        entre un et trois mois | entre deux et trois mois
        trois jours | deux ou trois jours
        à 7 h 30 du matin | at 7:30 pm
        at 12 am | at noon
        Le 11/11/1918 | On 11 November 1919
        spring 2024 | in spring 2023
        au 2e trimestre 2023 | in the third quarter of 2023
        en 44 av. J.-C. | en 44 apr. J.-C.
        over 2 million | 2 million
        €1.2m | 1.2 billion euros
        PTAC inférieur à 3,5 t | PTAC supérieur à 3,5 t
        pH 7.4 | a pH of 7.8
        un studio de 20 m² à 450 €/mois | 540 € par mois pour un studio de 20 m²
        0 800 123 456 | 0 800 123 465
        N° SIRET : 123 456 789 00012 | SIRET 12345678900021
        Article 13 bis | Article 13 ter
        Loi n° 89-462 | la loi n°89-426 du 6 juillet 1989
        zone 3 | zones 1 and 2
        niveau B2 | niveau B1
        5 % | −5 %
        below -15 °C | below 15 °C
        at least three times a week | at most three times per week
        tous les 5 ans | five times a year
        trois fois plus | deux fois plus
    """,
}


def list_pairs(lines: str) -> list[tuple[str, str]]:
    """Return claim and evidence of each line."""
    pairs = (line.split("|", 1) for line in lines.strip().splitlines())
    return [(claim.strip(), evidence.strip()) for claim, evidence in pairs]
